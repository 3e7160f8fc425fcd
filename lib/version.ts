/** Generated from deno.json with make docs. */

/** The version of sipid, in semver form. */
export const version = "1.0.0";
