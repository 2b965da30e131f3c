/** The site layer: facts about one cluster or Docker host, written once and shared by all experiments on it. */
import { z } from "zod";
import { dockerSite } from "./docker-site.ts";
import { kubernetesSite } from "./site.ts";

export const site = z.discriminatedUnion("kind", [kubernetesSite, dockerSite]);

export type Site = z.output<typeof site>;
