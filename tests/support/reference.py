"""Slow plain-loop versions of the losses in float64, from their definitions."""

import math

import numpy as np
import scipy.linalg


def displacement(generators, z):
    """z - z expm(A), [S, L, B, D]."""
    S, L, _, D = generators.shape
    delta = np.zeros((S, L, len(z), D))
    for s in range(S):
        for i in range(L):
            g = scipy.linalg.expm(generators[s, i].astype(np.float64))
            for b in range(len(z)):
                delta[s, i, b] = z[b] - z[b] @ g
    return delta


def cosine(u, v):
    """0 where either is 0."""
    norms = math.sqrt(float(u @ u)) * math.sqrt(float(v @ v))
    return float(u @ v) / norms if norms > 0 else 0.0


def parallel(delta):
    S, L, B, D = delta.shape
    losses = []
    for s in range(S):
        vectors = delta[s].reshape(L * B, D).astype(np.float64)
        for u in vectors:
            for v in vectors:
                losses.append(-math.log(cosine(u, v) ** 2 + 1e-9))
    return np.mean(losses)


def perpendicular(delta, element):
    S, _, B, _ = delta.shape
    vectors = [
        (s, delta[s, element[s], b].astype(np.float64))
        for s in range(S)
        for b in range(B)
    ]
    losses = []
    for s, u in vectors:
        for t, v in vectors:
            losses.append(0.0 if s == t else cosine(u, v) ** 2)
    return np.mean(losses)


def sparsity(delta):
    losses = []
    for d in delta.reshape(-1, delta.shape[-1]).astype(np.float64):
        losses.append((sum(d**2) - max(d**2)) ** 2)
    return np.mean(losses)


def relative_sparsity(delta):
    """Mean of 1 - max_d delta_d^2 / ||delta||^2; 0 where nothing moves."""
    values = []
    for vector in np.float64(delta).reshape(-1, delta.shape[-1]):
        total = (vector**2).sum()
        values.append(1 - (vector**2).max() / total if total > 0 else 0.0)
    return np.mean(values)


def commutator(generators):
    D = generators.shape[-1]
    A = generators.reshape(-1, D, D).astype(np.float64)
    losses = []
    for a in range(len(A)):
        for b in range(a + 1, len(A)):
            losses.append(np.mean((A[a] @ A[b] - A[b] @ A[a]) ** 2))
    return np.mean(losses)


def factor_prediction(logits, changed):
    P, S, _ = logits.shape
    total = 0.0
    for p in range(P):
        for s in range(S):
            scores = np.exp(logits[p, s].astype(np.float64))
            total -= math.log(scores[int(changed[p, s])] / scores.sum())
    return total / P


def composite(generators, switch, attention):
    P, S, L = attention.shape
    D = generators.shape[-1]
    M = np.zeros((P, D, D))
    for p in range(P):
        for s in range(S):
            for i in range(L):
                M[p] += switch[p, s] * attention[p, s, i] * generators[s, i]
    return M


def act(z, generator):
    return np.stack(
        [
            z[p] @ scipy.linalg.expm(generator[p].astype(np.float64))
            for p in range(len(z))
        ]
    )


def encoder_equivariance(z1, z2, generator):
    forth, back = act(z1, generator), act(z2, -generator)
    P, D = z1.shape
    total = 0.0
    for p in range(P):
        for d in range(D):
            total += (forth[p, d] - z2[p, d]) ** 2 + (back[p, d] - z1[p, d]) ** 2
    return total / (P * D)


def kl(mu, logvar):
    """Per sample, from the densities' closed form."""
    out = np.zeros(len(mu))
    for b in range(len(mu)):
        for m, v in zip(mu[b].astype(float), logvar[b].astype(float), strict=True):
            out[b] += 0.5 * (m * m + math.exp(v) - v - 1.0)
    return out


def reconstruction(logits, images, likelihood):
    out = np.zeros(len(logits))
    for b in range(len(logits)):
        flat = zip(logits[b].ravel(), images[b].ravel(), strict=True)
        for logit, x in flat:
            y = 1.0 / (1.0 + math.exp(-float(logit)))
            if likelihood == "bernoulli":
                out[b] -= float(x) * math.log(y) + (1 - float(x)) * math.log(1 - y)
            else:
                out[b] += (y - float(x)) ** 2
    return out


def commutator_official(generators):
    """The published arithmetic: memory read in another order, sums of sums."""
    _, L, D, _ = generators.shape
    A = generators.reshape(-1, D, D).astype(np.float64)
    N = len(A)
    R = A.reshape(-1).reshape(D, D * N)

    def block(i, j):
        return A[i] @ R[:, j * D : (j + 1) * D]

    total, running = 0.0, 0.0
    for i in range(L):
        for j in range(i + 1, L):
            running += 2 * np.sum((block(i, j) - block(j, i)) ** 2)
            total += running
    return total / (N * D) ** 2


def log_normal(z, mu, logvar):
    return -0.5 * (math.log(2 * math.pi) + logvar + (z - mu) ** 2 / math.exp(logvar))


def stratified_weights(B, N):
    """Of sample i under posterior j; Chen et al. 2018, appendix C.2."""
    M = B - 1
    W = np.zeros((B, B))
    for i in range(B):
        for j in range(B):
            W[i, j] = 1 / M
            if j == (i + 1) % B:
                W[i, j] = (N - M) / (N * M)
            if j == i:
                W[i, j] = 1 / N
    return W


def stratified_weights_official(B, N):
    M = B - 1
    W = np.zeros((B, B))
    for i in range(B):
        for j in range(B):
            W[i, j] = 1 / M
            if j == 0:
                W[i, j] = 1 / N
            if j == 1 or (i, j) == (B - 2, 0):
                W[i, j] = (N - B + 1) / (N * (B - 1))
    return W


def decompose(z, mu, logvar, N, official=False):
    """mi, tc, dwkl by sums of densities, a sample, a posterior, a latent at a time."""
    B, D = z.shape
    weights = stratified_weights_official if official else stratified_weights
    W = weights(B, N)
    mi = tc = dwkl = 0.0
    for i in range(B):
        joint, marginals = 0.0, np.zeros(D)
        for j in range(B):
            q = [
                math.exp(log_normal(z[i, d], mu[j, d], logvar[j, d])) for d in range(D)
            ]
            joint += (W[i, j] ** D if official else W[i, j]) * math.prod(q)
            marginals += W[i, j] * np.array(q)
        own = sum(log_normal(z[i, d], mu[i, d], logvar[i, d]) for d in range(D))
        prior = sum(log_normal(z[i, d], 0.0, 0.0) for d in range(D))
        product = sum(math.log(m) for m in marginals)
        mi += (own - math.log(joint)) / B
        tc += (math.log(joint) - product) / B
        dwkl += (product - prior) / B
    return mi, tc, dwkl


def lie_hessian(generators):
    G, D = np.float64(generators), len(generators)
    total = 0.0
    for i in range(D):
        for j in range(D):
            if i != j:
                total += np.linalg.norm(G[i] @ G[j]) ** 2
    return total / D**2


def lie_commutator(generators, official=False):
    G, D = np.float64(generators), len(generators)
    total = 0.0
    for i in range(D):
        for j in range(D):
            if i == j:
                continue
            other = (G[i] @ G[j]).T if official else G[j] @ G[i]
            total += np.linalg.norm(G[i] @ G[j] - other) ** 2
    return total / D**2


def lie_code(generators, z):
    G = np.float64(generators)
    algebra = [sum(z[b, d] * G[d] for d in range(len(G))) for b in range(len(z))]
    return np.stack([scipy.linalg.expm(a).ravel() for a in algebra])


def controlled(errors, kp, ki, beta_min, beta_max):
    """Beta of each step, from each step's set point minus KL."""
    integral, last, betas = 0.0, beta_min, []
    for e in errors:
        beyond = (last > beta_max and e < 0) or (last < beta_min and e > 0)
        if not beyond:
            integral -= ki * e
        last = kp / (1 + math.exp(e)) + integral + beta_min
        betas.append(min(max(last, beta_min), beta_max))
    return betas


def dip(mu, logvar=None):
    """Off-diagonal and diagonal penalties; with logvar those of DIP-VAE II."""
    covariance = np.cov(np.float64(mu).T, bias=True)
    if logvar is not None:
        covariance = covariance + np.diag(np.exp(np.float64(logvar)).mean(axis=0))
    off = diagonal = 0.0
    for i in range(len(covariance)):
        for j in range(len(covariance)):
            if i == j:
                diagonal += (covariance[i, i] - 1) ** 2
            else:
                off += covariance[i, j] ** 2
    return off, diagonal
