/** What validation gives its sandboxes: it pulls images that training has not, and its tasks take longer (D-31). */
export const validationTimes = { startupSeconds: 2400, deadlineSeconds: 9000 } as const;
