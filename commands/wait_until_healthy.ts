/** `sipid wait-until-healthy`: probes a URL until it answers with status 200. */
import { deadline } from "@std/async/deadline";
import { poll } from "@std/async/poll";
import { command, type Definition, flag, type Values } from "../lib/cli/command.ts";
import { info, progress } from "../lib/cli/output.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError, isTimeout, UsageError } from "../lib/errors.ts";
import { HealthCheck } from "../lib/health/health_check.ts";
import { HttpProber } from "../lib/health/http_probe.ts";
import { takeProxySettings } from "../lib/health/http_proxy.ts";
import { PidfileWatch } from "../lib/health/pidfile_watch.ts";
import type { Prober } from "../lib/health/probe.ts";
import { trustSystemCertificates } from "../lib/health/tls.ts";
import { parseHealthUrl, redactUrl } from "../lib/health/url.ts";
import { version } from "../lib/version.ts";
import { execFlag, pidFileFlag, positiveDuration } from "./flags.ts";

/** Milliseconds between two updates of the progress line. */
const PROGRESS_INTERVAL_MS = 100;

const path = (text: string): string => text;

const flags = {
  "url": flag("URL", "the URL to probe, http or https", parseHealthUrl, redactUrl).required(),
  "timeout": flag("DURATION", "how long to wait in total", positiveDuration).or("1m"),
  "polling-frequency": flag(
    "DURATION",
    "time from one probe to the next",
    positiveDuration,
  ).or("5s"),
  "probe-timeout": flag("DURATION", "the limit of one probe", positiveDuration).or("30s"),
  "pid-file": pidFileFlag("fail as soon as the process of this pidfile exits").optional(),
  "exec": execFlag,
  "unix-socket": flag(
    "PATH",
    "connect to this socket instead of the URL's host",
    path,
  ).optional(),
  "ca-cert": flag("FILE", "also trust these authorities (PEM)", path).optional(),
  "cert": flag("FILE", "client certificate (PEM), for mutual TLS", path).optional(),
  "key": flag("FILE", "the key (PEM) of --cert", path).optional(),
};

/** The command `wait-until-healthy`. */
export const waitUntilHealthy: Definition = command({
  flags,
  statuses: {
    0: "healthy",
    1: "not healthy within the timeout, or the process of --pid-file has exited",
    2: "wrong usage",
  },
  examples: [
    "sipid wait-until-healthy --url http://127.0.0.1:8080/health",
    "sipid wait-until-healthy --url https://web.internal/health --timeout 2m \\",
    "    --ca-cert ca.pem --pid-file /var/vcap/sys/run/web/web.pid",
  ],
  async run(values) {
    // 1. What to ask.
    const prober = proberFor(values);

    // 2. Whose exit ends the wait.
    const pidFile = values["pid-file"];
    const watch = pidFile === undefined
      ? undefined
      : await PidfileWatch.start(pidFile, values.exec);
    if (watch?.warning !== undefined) info(`warning: ${watch.warning}`);

    // 3. Probe until healthy, the exit or the deadline, whichever is first.
    const begin = performance.now();
    const check = new HealthCheck(prober, {
      pollingFrequency: values["polling-frequency"],
      probeTimeout: values["probe-timeout"],
      onReason: (reason) => info(`waiting for ${prober.target}: ${reason}`),
    });
    await waitFor(check, watch, values.timeout, begin);

    // 4. Another service may answer on the port of a process that has exited.
    await watch?.check();
    info(
      `${prober.target} is healthy after ${formatDuration(performance.now() - begin)} ` +
        `(${attempts(check)})`,
    );
    return 0;
  },
});

function proberFor(values: Values<typeof flags>): Prober {
  const { cert, key } = values;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--cert and --key must be given together");
  }
  for (const warning of trustSystemCertificates()) info(warning);
  return new HttpProber(values.url, {
    caCert: values["ca-cert"],
    cert,
    key,
    unixSocket: values["unix-socket"],
    proxies: takeProxySettings(),
    userAgent: `sipid/${version}`,
  });
}

async function waitFor(
  check: HealthCheck,
  watch: PidfileWatch | undefined,
  timeout: number,
  begin: number,
): Promise<void> {
  const ended = new AbortController();
  const { signal } = ended;
  const awaited: Promise<void>[] = [check.untilHealthy(signal)];
  if (watch !== undefined) awaited.push(watch.untilExit(signal));
  const display = showProgress(check, begin, timeout, signal);
  // What is still pending at the end rejects with the abort.
  for (const pending of [...awaited, display]) pending.catch(() => {});
  try {
    await deadline(Promise.race(awaited), timeout);
  } catch (error) {
    if (!isTimeout(error)) throw error;
    throw new CommandError(
      `healthcheck unhealthy (url '${check.target}' was not healthy after ${attempts(check)}): ` +
        check.reason,
    );
  } finally {
    ended.abort();
  }
}

function attempts({ attempts }: HealthCheck): string {
  return `${attempts} attempt${attempts === 1 ? "" : "s"}`;
}

async function showProgress(
  check: HealthCheck,
  begin: number,
  timeout: number,
  signal: AbortSignal,
): Promise<void> {
  const show = (): void => {
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    progress(`waiting ${seconds}s of ${formatDuration(timeout)}: ${check.reason}`);
  };
  await poll(show, () => false, { interval: PROGRESS_INTERVAL_MS, signal });
}
