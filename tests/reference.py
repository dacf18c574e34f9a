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
