/** What tests read in Markdown: the anchors of headings and the targets of links. */

/** A page without its code, in which nothing is a heading or a link. */
function prose(page: string): string {
  return page.replaceAll(/^(`{3,})[^\n]*\n.*?^\1$/gms, "").replaceAll(/(`+)[^`\n]+?\1/g, codeSpan);
}

/** A code span counts in a heading's anchor, without its marks; a link in it does not. */
function codeSpan(span: string): string {
  return span.replaceAll(/[`[\]()]/g, "");
}

/** Anchors as GitHub makes them. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of prose(page).matchAll(/^#{1,6} +(.+)$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count += 1) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

/** Targets of links and images, without titles. */
export function linksOf(page: string): string[] {
  const inline = /\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g;
  const definitions = /^\[[^\]]+\]: +(\S+)/gm;
  return [inline, definitions].flatMap((pattern) =>
    [...prose(page).matchAll(pattern)].map(([, target = ""]) => target),
  );
}
