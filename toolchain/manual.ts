/** The man page, made from the table of commands and from what the table does not say. */
import type { Command, Flag } from "../lib/cli/args.ts";
import { COMMON_FLAGS } from "../lib/cli/args.ts";

/** @param date of the version, as mdoc(7) writes it: "November 21, 2026" */
export function manual(commands: readonly Command[], version: string, date: string): string {
  return [
    `.\\" Made by toolchain/docs.ts from the table of commands.`,
    `.Dd ${date}`,
    ".Dt SIPID 1",
    `.Os sipid ${version}`,
    ".Sh NAME",
    ".Nm sipid",
    ".Nd pidfiles done right, for start and stop scripts",
    ".Sh SYNOPSIS",
    ...commands.flatMap(synopsis),
    ".Nm pidproxy",
    ".Ar PID_FILE COMMAND",
    ".Op Ar ARG ...",
    ".Sh DESCRIPTION",
    ".Nm",
    "writes, checks and removes pidfiles, stops the process that one names, waits for a service to",
    "become healthy, and passes signals on to a daemon.",
    "Called by the name",
    ".Nm pidproxy ,",
    "through a link, it is",
    ".Nm sipid Cm pidproxy .",
    ".Pp",
    "Flags may be written with one dash or two, their values after a space or an equals sign.",
    "Durations are written as in Go:",
    ".Dq 20s ,",
    ".Dq 1m30s ,",
    ".Dq 500ms .",
    ".Pp",
    "The commands are:",
    ".Bl -tag -width Ds",
    ...commands.flatMap(description),
    ".El",
    PROSE,
    ".Sh EXAMPLES",
    "A start script, which becomes the service that it has claimed the pidfile for:",
    ".Bd -literal -offset indent",
    "set -eu",
    "sipid claim --pid $$ --pid-file /run/web/web.pid",
    "exec chpst -u web:web /usr/local/bin/web",
    ".Ed",
    ".Pp",
    "Others:",
    ".Bd -literal -offset indent",
    ...commands.flatMap(({ examples }) => examples).map(escaped),
    ".Ed",
    SEE_ALSO,
    "",
  ].join("\n");
}

const PROSE = `.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev HTTP_PROXY , HTTPS_PROXY , NO_PROXY
are obeyed by
.Cm wait-until-healthy
as Go programs do, in upper or lower case, and never for a loopback address.
.It Ev SSL_CERT_FILE , SSL_CERT_DIR
name authorities that are trusted in place of those of the system.
.It Ev NO_COLOR
if set and not empty, keeps colour from error messages, which have it on a terminal alone.
.It Ev PATH
is where
.Cm pidproxy
looks for COMMAND.
.El
.Sh FILES
.Bl -tag -width Ds
.It Ar PID_FILE
holds one PID in plain decimal, white space around it allowed.
It is locked by
.Xr flock 2
while it is changed.
.It Pa .NAME.new
beside a pidfile NAME takes its place by
.Xr rename 2
where a content is replaced.
One that a crash left behind is removed by the next claim.
.It Pa /proc
tells what runs, since when, and whose it is.
.El
.Sh EXIT STATUS
Most commands exit with 0 when done, 1 when refused or failed, 2 when called wrongly;
.Cm status
and
.Cm pidproxy
have more, as told with each.
.Sh SIGNALS
.Cm kill
sends
.Dv SIGTERM ,
after the grace period
.Dv SIGQUIT
if stacks are asked for, and then
.Dv SIGKILL .
.Cm pidproxy
passes on
.Dv SIGTERM , SIGHUP , SIGINT , SIGQUIT , SIGUSR1 , SIGUSR2 , SIGCONT , SIGWINCH , SIGALRM ,
.Dv SIGTSTP , SIGTTIN , SIGTTOU , SIGURG
and
.Dv SIGIO .
Any other command that is itself ended by a signal leaves the pidfile as it was, empty, or with the
new PID, and never with a part of one.`;

const SEE_ALSO = `.Sh SEE ALSO
.Xr monit 1 ,
.Xr supervisord 1 ,
.Xr flock 2 ,
.Xr kill 2 ,
.Xr proc 5 ,
.Xr start-stop-daemon 8`;

function synopsis({ name, flags, operands }: Command): string[] {
  return [
    ".Nm",
    `.Cm ${name}`,
    ...Object.entries(flags).map(([flag, { value, required }]) => {
      const word = `Fl -${flag}${value === undefined ? "" : ` Ar ${value}`}`;
      return required ? `.${word}` : `.Op ${word}`;
    }),
    ...operandWords(operands?.usage ?? ""),
  ];
}

/** `PID_FILE COMMAND [ARG ...]`, as requests of mdoc(7). */
function operandWords(usage: string): string[] {
  return [...usage.matchAll(/\[(.*?)\]|[^ ]+/g)].map(([word, optional]) =>
    optional === undefined ? `.Ar ${word.replaceAll("|", " | ")}` : `.Op Ar ${optional}`
  );
}

function description(command: Command): string[] {
  const { name, purpose, flags, statuses } = command;
  return [
    `.It Cm ${name}`,
    `${escaped(purpose)}.`,
    ".Bl -tag -width Ds",
    ...Object.entries({ ...flags, ...COMMON_FLAGS }).flatMap(([flag, one]) => [
      `.It Fl -${flag}${one.value === undefined ? "" : ` Ar ${one.value}`}`,
      `${escaped(upper(one.help))}${fallback(one)}.`,
    ]),
    ".El",
    ".Pp",
    "Exit status:",
    ".Bl -tag -width Ds -compact",
    ...Object.entries(statuses).flatMap(([status, meaning]) => [`.It ${status}`, escaped(meaning)]),
    ".El",
  ];
}

function fallback({ value, default: text }: Flag<unknown>): string {
  return value === undefined || text === undefined ? "" : ` (default ${text})`;
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** As roff reads it literally: a dash that can be copied, no request by accident. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^[.']/, "\\&$&");
}
