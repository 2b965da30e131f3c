export { type Directories, isOwn, planStorage, type Storage, type Volume } from "./storage.ts";
