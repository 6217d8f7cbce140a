export const nothing = "is served"
