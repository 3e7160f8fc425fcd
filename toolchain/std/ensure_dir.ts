// @ts-types="./ensure_dir.d.ts"
export * from "npm:deno-std@1.3.0/fs/ensure_dir.js";
