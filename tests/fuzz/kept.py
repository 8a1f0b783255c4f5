"""Programs that once computed something else compiled: the least ones that the search found."""

KEPT = {
    "an operand of a product is added to it": """
x0 = np.asarray(rng(0).normal(size=(4, 4)), np.float32)

def f(x0):
    v0 = cr.sin(x0)
    v1 = v0 + (v0 @ x0)
    return v1,
""",
    "a vector inside a reduction and after it": """
x0 = np.asarray(rng(0).normal(size=(7, 7)), np.float64)
x1 = np.asarray(rng(1).normal(size=(7,)), np.float64)

def f(x0, x1):
    v0 = cr.sum(x0 * x1, axis=1) + x1
    return v0,
""",
    "indices that pick from themselves": """
x0 = np.asarray([3, 1, 2, 0])

def f(x0):
    v0 = cr.take(x0, x0, axis=0)
    return v0,
""",
    "an update in gaps that waits for other readers": """
x0 = np.asarray(rng(7).integers(-3, 4, (5, 10)), np.float32)[..., ::2]
t1 = as_tensor(np.asarray(rng(7).integers(-3, 4, (5, 10)), np.float32)[..., ::2])

def f(x0):
    v0 = x0 + cr.relu((t1 @ cr.transpose(x0, [1, 0])))
    v1 = v0 + cr.relu((t1 @ cr.transpose(v0, [1, 0])))
    t1.assign(v1.detach())
    return v1, v0,
""",
    "an update that is a view of another value": """
x0 = np.asarray(rng(6).normal(size=(7,)), np.float32)
t1 = as_tensor(np.asarray(rng(6).normal(size=(7,)), np.float32))

def f(x0):
    v0 = cr.logistic(t1)
    v2 = (t1 / (1.5 + cr.sin(v0)))[::-1]
    t1.assign(v2.detach())
    return v2, v2[::-1],
""",
    "a quotient in the lanes that do not count": """
x0 = np.asarray(rng(0).normal(size=(33,)), np.float32)
x1 = np.asarray(rng(1).normal(size=(33, 33)), np.float32)

def f(x0, x1):
    v0 = cr.sum(x1 / (3.0 + cr.square(x0)))
    return v0,
""",
    "a view of a tensor that is updated afterwards": """
x0 = np.asarray(rng(0).integers(-3, 4, (4, 4)), np.float32)
t1 = as_tensor(np.asarray(rng(0).integers(-3, 4, (4, 4)), np.int64))

def f(x0):
    v0 = t1.T
    t1.assign((v0 * 32).detach())
    return v0, x0 + x0,
""",
}
