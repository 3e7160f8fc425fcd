/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker that reads a file over and over until it is gone, and posts all it has seen. */
self.onmessage = ({ data: path }: MessageEvent<string>): void => {
  const seen = new Set<string>();
  try {
    for (;;) seen.add(Deno.readTextFileSync(path));
  } catch {
    postMessage([...seen]);
  }
};
