/**
 * The code blocks of a recipe. A block is a file if the paragraph before it begins with the file's
 * path as code: "`/opt/redis/ctl` starts it:".
 */
import { assertEquals } from "@std/assert";
import { ROOT } from "../support.ts";

/** Returns the files of a page of docs/recipes, keyed by path. No block of it is left out. */
export function filesOf(page: string): Map<string, string> {
  const text = Deno.readTextFileSync(`${ROOT}docs/recipes/${page}.md`);
  const paragraphs = /(?<=^|\n\n)`(\/[^`]+)`(?:[^\n]|\n(?!\n))*\n\n```.*\n([^]*?)\n```$/gm;
  const files = new Map(
    [...text.matchAll(paragraphs)].map(([, path, content]) => [path!, `${content}\n`]),
  );
  assertEquals(files.size * 2, text.match(/^```/gm)?.length ?? 0, `${page}.md: unnamed blocks`);
  return files;
}
