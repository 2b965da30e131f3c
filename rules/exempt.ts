/**
 * Constraints of the original system that are no rule here, with the reason: either they hold whatever the settings
 * say, or there is nothing that they could be about.
 */
export const exempt: Readonly<Record<string, string>> = {
  "C-09":
    "The image brings its Python environment, and nothing outside it is imported: only the image can show what it holds.",
  "C-32":
    "Nothing here imports the Docker SDK: it would be a module of the training image, which only that image can show.",
  "C-37":
    "Pods begin with a file system of their own; what outlives them lies below the run's name, from which it resumes on purpose.",
  "C-45": "There is no environment on a network file system: Python lies in the training image.",
  "C-46": "Each frozen model has a pod, and so a network, of its own.",
  "C-49": "There is no evaluation runner with a data set of its own.",
};
