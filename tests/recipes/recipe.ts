/** What the tests have to know of a daemon beside its page. */

/** A client that stays connected while its daemon reloads. */
export interface Session {
  /** A program that speaks over one connection, and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** What it is sent before the reload, and what it then prints. */
  readonly before: readonly [sent: string, printed: RegExp];
  /** What it is sent after the reload, and what it prints until it exits. */
  readonly after: readonly [sent: string, printed: RegExp];
}

/** A daemon of docs/recipes. */
export interface Recipe {
  /** The name of its page, its directory below /opt, its pidfile and its service. */
  readonly name: string;
  /** The name of its main process in /proc. */
  readonly program: string;
  /** One of its arguments, where it is not the only program of that name. */
  readonly argument?: string;
  /** The pidfile that it writes itself. */
  readonly ownPidFile?: string;
  /** The ways that its page has; none: all. */
  readonly ways?: readonly string[];
  /** The ways in which the page says to stop it only when it is ready. */
  readonly readyFirst?: readonly string[];
  /** Milliseconds that what a dead pidproxy has left can take to stop, as the page says. */
  readonly slowStopMs?: number;
  /** Scripts that test what only this page promises, by what that is. */
  readonly extra?: Readonly<Record<string, string>>;
  /** A script that makes the machine what the reader's is: packages are installed. */
  readonly prepare?: string;
  /** A script that writes data, and one that prints it, which must be `kept`. */
  readonly data?: { readonly write: string; readonly read: string };
  /** What a reload is promised to do. */
  readonly reload?: {
    /** A script that changes the configuration before. */
    readonly change: string;
    /** A script that prints `reloaded` when the change applies. */
    readonly applied: string;
    /** A connection that the reload keeps; none if the page promises nothing. */
    readonly session?: Session;
  };
  /** A script that ends what the page says is left running. */
  readonly cleanup?: string;
  /** Directories of its own, besides /opt/NAME, and files that it may leave. */
  readonly leaves: readonly string[];
}

/** A download of DOWNLOAD_BYTES that is under way during the reload. */
export function download(port: number, path: string): Session {
  const script = `
    use IO::Socket::INET; $| = 1;
    $s = IO::Socket::INET->new("127.0.0.1:${port}") or die "cannot connect\\n";
    print $s "GET ${path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n";
    $n = read $s, $b, 1000; print "$n bytes\\n"; <STDIN>;
    while ($got = read $s, $b, 65536) { $n += $got } print "$n bytes in total\\n"`;
  return {
    command: ["perl", "-e", script],
    before: ["", /^1000 bytes$/m],
    after: ["\n", new RegExp(`^${String(DOWNLOAD_BYTES).slice(0, -3)}\\d+ bytes in total$`, "m")],
  };
}

/** A request of which the server has only the first line when it reloads. */
export function halfRequest(port: number, path: string): Session {
  const script = `
    use IO::Socket::INET; $| = 1;
    $s = IO::Socket::INET->new("127.0.0.1:${port}") or die "cannot connect\\n";
    print $s "GET ${path} HTTP/1.0\\r\\n"; print "sent\\n"; <STDIN>;
    print $s "Host: localhost\\r\\n\\r\\n"; print while <$s>; print "\\n"`;
  return {
    command: ["perl", "-e", script],
    before: ["", /^sent$/m],
    after: ["\n", /^HTTP\/1.[01] 200/m],
  };
}

/** More than the buffers of both sockets hold. */
export const DOWNLOAD_BYTES = 40_000_000;
