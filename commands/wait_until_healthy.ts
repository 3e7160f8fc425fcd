/** `sipid wait-until-healthy`: probes a service until it is healthy. */
import { poll } from "@std/async/poll";
import { command, type Definition, flag, type Values } from "../lib/cli/command.ts";
import { flush, info, progress } from "../lib/cli/output.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError, UsageError } from "../lib/errors.ts";
import { CommandProber } from "../lib/health/command_probe.ts";
import { abortable } from "../lib/health/connect.ts";
import { parseHeader, redactHeader } from "../lib/health/headers.ts";
import { HealthCheck } from "../lib/health/health_check.ts";
import { HttpProber } from "../lib/health/http_probe.ts";
import { takeProxySettings } from "../lib/health/http_proxy.ts";
import { PidfileWatch } from "../lib/health/pidfile_watch.ts";
import type { Prober } from "../lib/health/probe.ts";
import { SocketProber } from "../lib/health/socket_probe.ts";
import { parseStatuses } from "../lib/health/statuses.ts";
import { trustSystemCertificates } from "../lib/health/tls.ts";
import { parseHealthUrl, redactUrl } from "../lib/health/url.ts";
import { Interrupted, onInterrupt, raise } from "../lib/process/interrupt.ts";
import { version } from "../lib/version.ts";
import { execFlag, pidFileFlag, positiveDuration } from "./flags.ts";

/** Milliseconds between two updates of the progress line. */
const PROGRESS_INTERVAL_MS = 100;

const DEFAULT_STATUSES = parseStatuses("200");

const path = (text: string): string => text;

/** The flags that only an http or https URL can have. */
const httpFlags = {
  "status": flag(
    "LIST",
    "statuses that count as healthy, such as 200-299,401 (default 200)",
    parseStatuses,
  ).optional(),
  "header": flag(
    "HEADER",
    "send this header, 'NAME: VALUE'",
    parseHeader,
    redactHeader,
  ).repeated(),
  "unix-socket": flag(
    "PATH",
    "connect to this socket instead of the host of an http URL",
    path,
  ).optional(),
  "ca-cert": flag("FILE", "also trust these authorities (PEM)", path).optional(),
  "cert": flag("FILE", "client certificate (PEM), for mutual TLS", path).optional(),
  "key": flag("FILE", "the key (PEM) of --cert", path).optional(),
};

const flags = {
  "url": flag(
    "URL",
    "what to probe: http, https, tcp://HOST:PORT or unix:///PATH",
    parseHealthUrl,
    redactUrl,
  ).optional(),
  "timeout": flag("DURATION", "how long to wait in total", positiveDuration).or("1m"),
  "polling-frequency": flag(
    "DURATION",
    "time from one probe to the next",
    positiveDuration,
  ).or("5s"),
  "probe-timeout": flag("DURATION", "the limit of one probe", positiveDuration).or("30s"),
  "successes": flag("N", "how many probes in a row must succeed", parseCount).or("1"),
  "pid-file": pidFileFlag(
    "wait for this pidfile, and fail as soon as its process exits",
  ).optional(),
  "exec": execFlag,
  ...httpFlags,
};

/** The command `wait-until-healthy`. */
export const waitUntilHealthy: Definition = command({
  flags,
  operands: { usage: "[-- COMMAND [ARG ...]]", min: 0 },
  statuses: {
    0: "healthy: the expected status, an accepted connection, or COMMAND exits 0",
    1: "not healthy within the timeout, or the process of --pid-file has exited",
    2: "wrong usage",
    126: "COMMAND cannot be run",
    127: "COMMAND was not found",
  },
  examples: [
    "sipid wait-until-healthy --url http://127.0.0.1:8080/health --status 200,204 \\",
    "    --timeout 2m --pid-file /var/vcap/sys/run/web/web.pid",
    "sipid wait-until-healthy --polling-frequency 1s -- pg_isready -h 127.0.0.1",
  ],
  async run(values, operands) {
    const begin = performance.now();
    const elapsed = (): string => formatDuration(performance.now() - begin);

    // 1. What to ask and how often; whose exit ends the wait.
    const prober = proberFor(values, operands);
    const check = new HealthCheck(prober, {
      pollingFrequency: values["polling-frequency"],
      probeTimeout: values["probe-timeout"],
      successes: values.successes,
      onReason: (reason) => info(`waiting for ${prober.target}: ${reason}`),
    });
    const pidFile = values["pid-file"];
    const watch = pidFile === undefined
      ? undefined
      : new PidfileWatch(pidFile, values.exec, (doubt) => info(`warning: ${doubt}`));

    // 2. The deadline ends everything, and so do signals if a command must not outlive sipid.
    const ended = new AbortController();
    const timer = setTimeout(() => ended.abort(DEADLINE), values.timeout);
    const interrupts = prober.kind === "command"
      ? onInterrupt((interrupted) => ended.abort(interrupted))
      : undefined;
    const limit = formatDuration(values.timeout);
    showProgress(() => {
      const ms = performance.now() - begin;
      const reason = watch?.isStarted === false ? watch.reason : check.reason("so far");
      const why = ms < PROGRESS_INTERVAL_MS ? "" : `: ${reason}`;
      return `waiting ${(ms / 1000).toFixed(1)}s of ${limit}${why}`;
    }, ended.signal);

    try {
      // 3. A pidfile that names a process, and a healthy service before that process exits.
      await abortable(untilReady(check, watch, ended.signal), ended.signal);
      info(`${prober.target} is healthy after ${elapsed()} (${attempts(check)})`);
      return 0;
    } catch (error) {
      if (error instanceof Interrupted) {
        // 4. The signal ends sipid after all, when the command has ended.
        await check.settled();
        interrupts?.[Symbol.dispose]();
        info(`${prober.target}: ${error.message}`);
        await flush();
        return await raise(error.signal);
      }
      if (error !== DEADLINE) throw error;
      if (watch?.isStarted === false) {
        throw new CommandError(`${watch.reason} after ${limit}; ${watch.hint}`);
      }
      throw new CommandError(
        `healthcheck unhealthy (${prober.kind} '${prober.target}' was not healthy after ` +
          `${attempts(check)}) within ${limit}: ` +
          check.reason(`before the timeout of ${limit}`),
      );
    } finally {
      // 5. The current probe cleans up.
      clearTimeout(timer);
      ended.abort();
      await check.settled();
    }
  },
});

/** What the wait is aborted with at its deadline. */
const DEADLINE = new DOMException("the deadline", "TimeoutError");

/** Resolves when the service is ready; rejects when its process exits before. */
async function untilReady(
  check: HealthCheck,
  watch: PidfileWatch | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (watch === undefined) return await check.untilHealthy(signal);
  await watch.start(signal, (event) => info(`waiting for ${event}`));
  await Promise.race([check.untilHealthy(signal), watch.untilExit(signal)]);
  // Another service may answer on the port of a process that has exited.
  await watch.check();
}

/** Chooses the probe. */
function proberFor(values: Values<typeof flags>, operands: readonly string[]): Prober {
  const { url } = values;
  const [name, ...args] = operands;
  if (url === undefined && name === undefined) {
    throw new UsageError("expected --url, or a command after --");
  }
  if (url !== undefined && name !== undefined) {
    // The command is not named: it may be the value of a header that was not quoted.
    throw new UsageError("--url and a command cannot be given together");
  }
  if (values.exec !== undefined && values["pid-file"] === undefined) {
    throw new UsageError("--exec needs --pid-file");
  }
  if (url?.kind !== "http") {
    const given = Object.keys(httpFlags) as (keyof typeof httpFlags)[];
    const unfit = given.find((it) => [values[it] ?? []].flat().length > 0);
    if (unfit !== undefined) throw new UsageError(`--${unfit} needs an http or https --url`);
  }
  if (name !== undefined) return new CommandProber(name, args);
  if (url!.kind !== "http") return new SocketProber(url!);
  if ((values.cert === undefined) !== (values.key === undefined)) {
    throw new UsageError("--cert and --key must be given together");
  }
  if (values["unix-socket"] !== undefined && url!.url.protocol === "https:") {
    throw new UsageError("--unix-socket needs an http --url: TLS over it is not supported");
  }
  for (const warning of trustSystemCertificates()) info(warning);
  return new HttpProber(url!, {
    caCert: values["ca-cert"],
    cert: values.cert,
    key: values.key,
    unixSocket: values["unix-socket"],
    headers: values.header,
    statuses: values.status ?? DEFAULT_STATUSES,
    proxies: takeProxySettings(),
    userAgent: `sipid/${version}`,
  });
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError("expected a number from 1 to 999999");
  return Number(text);
}

function attempts({ attempts }: HealthCheck): string {
  return `${attempts} attempt${attempts === 1 ? "" : "s"}`;
}

/** Shows a line on a terminal until the signal is aborted. */
function showProgress(line: () => string, signal: AbortSignal): void {
  poll(() => progress(line()), () => false, { interval: PROGRESS_INTERVAL_MS, signal })
    .catch(() => {}); // the abort
}
