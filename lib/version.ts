/** Made by make docs from deno.json. */

/** The version of sipid, as semver. */
export const version = "1.0.0";
