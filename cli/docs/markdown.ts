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
