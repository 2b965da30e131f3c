import { commandLinePage } from "./command-line.ts";
import { rulesPage } from "./rules.ts";
import { dockerPage } from "./docker.ts";
import { settingsPage } from "./settings.ts";

/** Every generated page, by its path in the project. The same project gives the same text. */
export function generatedPages(root: string): ReadonlyMap<string, string> {
  return new Map([
    ["docs/settings.md", settingsPage()],
    ["docs/command-line.md", commandLinePage(root)],
    ["docs/rules.md", rulesPage()],
    ["docs/docker.md", dockerPage(root)],
  ]);
}
