/** Creates the directory and its parents where they are missing. @throws what `Deno.mkdir` throws */
export function ensureDirSync(dir: string | URL): void;
