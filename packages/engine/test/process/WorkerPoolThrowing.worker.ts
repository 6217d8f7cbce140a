throw new Error("no licence for the solver")
