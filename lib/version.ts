/** The version, from the one place that has it. */
import config from "../deno.json" with { type: "json" };

/** The version of sipid, as semver. */
export const version: string = config.version;
