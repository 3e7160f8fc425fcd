/** Generated from deno.json with make docs. */

/** The version of sipid, in semver form. */
export const version = "2.0.0";
