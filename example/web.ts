// deno-lint-ignore-file no-console -- a service logs to stdout
/** The example's web service: healthy half a second after its start; ignores SIGTERM. */
const started = Date.now();

Deno.addSignalListener("SIGTERM", () => {
  console.log("web: ignoring SIGTERM");
});
Deno.addSignalListener("SIGQUIT", () => {
  console.log(
    `web: ${new Error("stack dump").stack?.replaceAll("Error: ", "")}`,
  );
});
Deno.serve(
  {
    hostname: "127.0.0.1",
    port: Number(Deno.env.get("PORT")),
    onListen: () => {},
  },
  () => new Response(null, { status: Date.now() - started < 500 ? 503 : 200 }),
);
