"""Fidelity: the paper's intent, or the code that produced its numbers."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """What is computed as in the published code rather than as in the paper.

    All False is the preset "corrected", all True the preset "official".

    Attributes:
        sigma2_from_mu: sigma2 in the heads' input is exp(mu2 / 2), a slip.
        double_softmax: the factor prediction's cross-entropy is taken of
            probabilities as if they were logits.
        targets_from_sample: a factor counts as changed by the sampled z, by which a
            collapsed dimension changes nine times in ten.
        commutator_memory_order: the commutator pairs blocks of the codebook re-read in
            memory order, of the first L generators alone, early pairs weighing most.
        perpendicular_below_sections: perpendicular draws element indices below S, so
            that later elements are never drawn.
        soft_noisy_switch: the switch is a Gumbel-softmax at temperature 1e-4, with
            noise in evaluation too.
        published_init: biases start at U(0, 1) with CFASL and at PyTorch's default
            without, the codebook at N(0, 1), the generators of CLG-VAE twenty-three
            times as large or more.
        tc_weights_per_dimension: beta-TCVAE's stratified weights stand in the wrong
            places of their matrix, and enter log q(z) once a dimension: D times.
        frozen_integral: Control-VAE's integral never moves, so that beta stays between
            1 and 1.01, and a gradient flows through its proportional part.
        lie_commutator_transposed: CLG-VAE compares a product of generators with its own
            transpose rather than with the product in the other order.
        lie_decoder_not_equivariant: with CFASL on CLG-VAE, the decoder's equivariance
            loss is the plain reconstruction loss once more.
    """

    sigma2_from_mu: bool = False
    double_softmax: bool = False
    targets_from_sample: bool = False
    commutator_memory_order: bool = False
    perpendicular_below_sections: bool = False
    soft_noisy_switch: bool = False
    published_init: bool = False
    tc_weights_per_dimension: bool = False
    frozen_integral: bool = False
    lie_commutator_transposed: bool = False
    lie_decoder_not_equivariant: bool = False


FIDELITIES: dict[str, Fidelity] = {
    "corrected": Fidelity(),
    "official": Fidelity(
        **{field.name: True for field in dataclasses.fields(Fidelity)}
    ),
}
