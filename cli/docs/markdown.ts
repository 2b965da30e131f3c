/** A table with one line a row and no padding, so that a changed row changes one line. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** A bar would end the cell, also within a code span. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

/** A code span; more backticks around a text that has one. */
export function code(text: string): string {
  if (text === "") return "(empty)";
  return text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``;
}

/** Between two sources of one value. */
export const sourceSeparator = "; ";

/** Sources as links from a page in docs/. What is neither a document nor a URL stays as it is. */
export function sourceLinks(sources: string): string {
  return sources.split(sourceSeparator).map(sourceLink).join(sourceSeparator);
}

function sourceLink(source: string): string {
  if (source.startsWith("https://")) return `<${source}>`;
  const [, page, anchor] = /^docs\/([a-z-]+\.md)(?:#([a-z0-9-]+))?$/.exec(source) ?? [];
  if (page === undefined) return source;
  if (anchor === undefined) return `[${page}](${page})`;
  const text = isDecision.test(anchor) ? anchor.toUpperCase() : anchor.replaceAll("-", " ");
  return `[${text}](${page}#${anchor})`;
}

const isDecision = /^[cd]-\d\d$/;

/** Turns the constraints, rulings and pages that a sentence names into links from a page in docs/. */
export function linked(text: string): string {
  return text
    .replaceAll(/\b[CD]-\d\d\b/g, (id) => `[${id}](decisions.md#${id.toLowerCase()})`)
    .replaceAll(/\bdocs\/([a-z-]+\.md)\b/g, (_, page: string) => `[${page}](${page})`);
}
