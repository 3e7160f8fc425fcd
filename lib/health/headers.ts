/** The headers of a probe: those of --header, and what the URL's user name and password become. */
import { UsageError } from "../errors.ts";

/** A header field. */
export interface Header {
  /** Its name. */
  readonly name: string;
  /** Its value. */
  readonly value: string;
}

/** Fields that describe the connection or the body, which are not the user's to describe. */
const OWN_FIELDS =
  /^(connection|content-length|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

/**
 * Parses the value of --header. Messages never repeat its value, which may be a secret.
 *
 * @throws {UsageError} it is not a header, or one that sipid sets itself
 */
export function parseHeader(text: string): Header {
  const [, name, value] = /^([!#$%&'*+.^`|~\w-]+):[ \t]*(.*?)[ \t]*$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new UsageError("expected 'NAME: VALUE'");
  if (OWN_FIELDS.test(name)) throw new UsageError(`"${name}" cannot be set`);
  // deno-lint-ignore no-control-regex -- a line break would begin another header
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value)) {
    throw new UsageError(`control characters in the value of "${name}"`);
  }
  return { name, value: toByteString(value) };
}

/** Returns a header for messages: its name, without the value. */
export function redactHeader(text: string): string {
  return /^([^:\s]*):/.exec(text)?.[0] ?? "...";
}

/** Returns the text's UTF-8 bytes as one character each, which is how fetch() takes them. */
function toByteString(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** Returns the Authorization header for the user name and password of a URL; undefined for none. */
export function authorizationOf(url: URL): string | undefined {
  if (url.username === "" && url.password === "") return undefined;
  return `Basic ${btoa(toByteString(`${decode(url.username)}:${decode(url.password)}`))}`;
}

/** Decodes the %-escapes of a part of a URL. A text with a stray % stands for itself. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
