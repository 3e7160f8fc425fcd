/** `sipid wait-until-healthy`: probes a URL until it answers with status 200. */
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { poll } from "@std/async/poll";
import { command, type Declared, flag } from "../lib/cli/args.ts";
import { formatDuration } from "../lib/duration.ts";
import { CommandError, isTimeout, UsageError } from "../lib/errors.ts";
import { isHttp, type Prober, prober, shown } from "../lib/health/probe.ts";
import { findHolderSettled } from "../lib/process/identity.ts";
import { readPidfile, readSettledPidfile } from "../lib/pidfile/pidfile.ts";
import { describe, isRunning, type Process } from "../lib/process/process.ts";
import { takeProxySettings } from "../lib/health/http_proxy.ts";
import { info, progress } from "../lib/cli/output.ts";
import { untrustedReason } from "../lib/pidfile/trust.ts";
import { version } from "../lib/version.ts";
import { execFlag, pidFileFlag, positiveDuration } from "./flags.ts";

/** Milliseconds that one probe takes at most. */
const PROBE_TIMEOUT_MS = 30_000;
/** Milliseconds between two looks at the process of --pid-file. */
const WATCH_INTERVAL_MS = 50;

const path = (text: string): string => text;

const flags = {
  "url": flag("URL", "the healthcheck, http or https", parseUrl).required(),
  "timeout": flag("DURATION", "how long to wait altogether", positiveDuration)
    .or("1m"),
  "polling-frequency": flag(
    "DURATION",
    "time between two probes",
    positiveDuration,
  ).or("5s"),
  "pid-file": pidFileFlag(
    "stop waiting when the process of this pidfile is gone",
  ).optional(),
  "exec": execFlag,
  "unix-socket": flag(
    "PATH",
    "connect to this socket instead of the URL's host",
    path,
  ).optional(),
  "ca-cert": flag("FILE", "trust these authorities (PEM) too", path).optional(),
  "cert": flag("FILE", "client certificate (PEM), for mutual TLS", path)
    .optional(),
  "key": flag("FILE", "the key (PEM) of --cert", path).optional(),
};

/** The command `wait-until-healthy`. */
export const waitUntilHealthy: Declared = command({
  flags,
  statuses: {
    0: "healthy",
    1: "not healthy within the timeout, or the process of --pid-file is gone",
    2: "wrong usage",
  },
  examples: [
    "sipid wait-until-healthy --url http://127.0.0.1:8080/health",
    "sipid wait-until-healthy --url https://web.internal/health --timeout 2m \\",
    "    --ca-cert ca.pem --pid-file /var/vcap/sys/run/web/web.pid",
  ],
  async run(values) {
    if ((values.cert === undefined) !== (values.key === undefined)) {
      throw new UsageError("--cert and --key go together");
    }
    const probes = prober(values.url.url, {
      caCert: values["ca-cert"],
      cert: values.cert,
      key: values.key,
      unixSocket: values["unix-socket"],
      proxies: takeProxySettings(),
      userAgent: `sipid/${version}`,
    });
    const pidFile = values["pid-file"];
    const watched = pidFile === undefined ? undefined : await watch(pidFile, values.exec);
    const { url, typed } = values.url;
    const what = new Wait(
      shown(url, typed),
      values.timeout,
      values["polling-frequency"],
      probes,
    );
    await wait(what, watched);
    return 0;
  },
});

/** What is waited for, and how far it has come. */
class Wait {
  readonly #begin = performance.now();
  attempts = 0;
  /** Why the last probe failed; undefined before one has. */
  reason: string | undefined;
  /** When the probe under way began, in milliseconds since the beginning. */
  probing: number | undefined;

  constructor(
    readonly url: string,
    readonly timeout: number,
    readonly frequency: number,
    readonly probes: Prober,
  ) {}

  /** Milliseconds since the beginning. */
  get elapsed(): number {
    return performance.now() - this.#begin;
  }

  /** Why it is not healthy yet: the last reason, or the silence that follows it by now. */
  get lastReason(): string {
    const silence = this.probing === undefined ? 0 : this.elapsed - this.probing;
    return this.reason === undefined || silence > 1_000
      ? `no answer within ${formatDuration(silence)}`
      : this.reason;
  }
}

/** The process to watch; `check` rejects when it is gone. */
interface Watched {
  readonly check: () => Promise<void>;
}

async function watch(pidFile: string, exec: string | undefined): Promise<Watched> {
  const found = await readSettledPidfile(pidFile);
  if (found.kind === "missing") throw gone(`there is no pidfile ${pidFile}`);
  if (found.kind !== "pid") {
    throw new CommandError(
      `pidfile (${pidFile}) does not contain a valid pid; not waiting any longer`,
    );
  }
  const holder = await findHolderSettled(found.pid, exec);
  if (holder.kind === "none") throw gone(`process ${found.pid} (${pidFile}) does not run`);
  if (holder.kind === "stranger") {
    throw gone(`${describe(holder.process)} of ${pidFile} is not ${exec}`);
  }
  const doubt = untrustedReason(pidFile, found, holder.process);
  if (doubt !== undefined) info(`warning: ${doubt}`);
  let last = holder.process;
  return {
    check: async () => {
      last = await stillThere(pidFile, last, exec);
    },
  };
}

/**
 * The process the file names now: a restart may have brought another, which may still be its start
 * script.
 */
async function stillThere(
  pidFile: string,
  last: Process,
  exec: string | undefined,
): Promise<Process> {
  const found = readPidfile(pidFile);
  if (found.kind === "missing") throw gone(`pidfile ${pidFile} was removed`);
  if (found.kind === "pid" && found.pid !== last.pid) {
    const next = await findHolderSettled(found.pid, exec);
    if (next.kind === "own") return next.process;
  }
  if (!isRunning(last)) throw gone(`${describe(last)} of ${pidFile} is gone`);
  return last;
}

function gone(fact: string): CommandError {
  return new CommandError(
    `${fact}: not waiting for it any longer; its log may say why`,
  );
}

/** Returns when the URL is healthy. */
async function wait(what: Wait, watched: Watched | undefined): Promise<void> {
  const ended = new AbortController();
  const healthy = untilHealthy(what, ended.signal);
  const died = watched === undefined ? [] : [untilGone(watched, ended.signal)];
  const display = showProgress(what, ended.signal);
  // Those that are still under way at the end reject with the abortion, which is no news.
  for (const underway of [healthy, ...died, display]) underway.catch(() => {});
  try {
    await deadline(Promise.race([healthy, ...died]), what.timeout);
    // Something else may answer on the port of a process that died.
    await watched?.check();
    info(`${what.url} is healthy after ${formatDuration(what.elapsed)}`);
  } catch (error) {
    if (!isTimeout(error)) throw error;
    throw new CommandError(
      `healthcheck unhealthy (url '${what.url}' was not healthy after ${what.attempts} ` +
        `attempt${what.attempts === 1 ? "" : "s"}): ${what.lastReason}`,
    );
  } finally {
    ended.abort();
  }
}

/** Probes at once, then at the frequency, counted from probe to probe. */
async function untilHealthy(what: Wait, ended: AbortSignal): Promise<void> {
  for (;;) {
    const begin = what.elapsed;
    const reason = await probeOnce(what, ended);
    if (reason === undefined) return;
    if (reason !== what.reason) {
      info(`waiting for ${what.url}: ${reason}`);
    }
    what.reason = reason;
    await delay(Math.max(0, begin + what.frequency - what.elapsed), {
      signal: ended,
    });
  }
}

async function probeOnce(
  what: Wait,
  ended: AbortSignal,
): Promise<string | undefined> {
  what.attempts++;
  what.probing = what.elapsed;
  const limit = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  try {
    return await what.probes.probe(AbortSignal.any([ended, limit]));
  } catch (error) {
    if (!limit.aborted || ended.aborted) throw error;
    return `no answer within ${formatDuration(PROBE_TIMEOUT_MS)}`;
  } finally {
    what.probing = undefined;
  }
}

async function untilGone(watched: Watched, signal: AbortSignal): Promise<void> {
  await poll(() => watched.check(), () => false, {
    interval: WATCH_INTERVAL_MS,
    signal,
  });
}

/** The live line on a terminal. */
async function showProgress(what: Wait, signal: AbortSignal): Promise<void> {
  const limit = formatDuration(what.timeout);
  const show = (): void => {
    const seconds = (what.elapsed / 1000).toFixed(1);
    const reason = what.reason === undefined ? "" : `: ${what.lastReason}`;
    progress(`waiting ${seconds}s of ${limit}${reason}`);
  };
  await poll(show, () => false, { interval: 100, signal });
}

function parseUrl(text: string): { readonly url: URL; readonly typed: string } {
  const url = URL.parse(text);
  const example = `http://${text.replace(/^:?\/*/, "")}`;
  if (!/^[a-z][a-z0-9+.-]*:/i.test(text)) {
    throw new UsageError(`"${text}" lacks a scheme: write it like ${example}`);
  }
  if (!/^https?:/i.test(text)) {
    throw new UsageError(
      `"${text}" has a scheme that is not http or https: write it like ${example}`,
    );
  }
  if (url === null || !isHttp(url) || !/^https?:\/\/[^/]/i.test(text)) {
    throw new UsageError(
      `"${text}" is not a URL: write it like http://127.0.0.1:8080/health`,
    );
  }
  return { url, typed: text };
}
