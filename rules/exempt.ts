/**
 * Constraints of the original system that are no rule here, with the reason: either they hold whatever the settings
 * say, or there is nothing that they could be about.
 */
export const exempt: Readonly<Record<string, string>> = {
  "C-08":
    "No repository is checked out: the training image holds the code. Named by digest, every restart runs the same; docs/training-image.md lists the pins.",
  "C-09": "As C-08: the image brings its Python environment, and nothing outside it is imported.",
  "C-32":
    "Nothing here imports the Docker SDK: it would be a module of the training image, which only that image can show.",
  "C-35":
    "The stack makes the claims itself and mounts them for writing. Whether a server behind them lets its user write shows only when a pod does.",
  "C-37":
    "Pods begin with a file system of their own; what outlives them lies below the run's name, from which it resumes on purpose.",
  "C-45": "There is no environment on a network file system: Python lies in the training image.",
  "C-46": "Each frozen model has a pod, and so a network, of its own.",
  "C-49": "There is no evaluation runner with a data set of its own.",
};
