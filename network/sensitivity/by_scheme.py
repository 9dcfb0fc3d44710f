"""Sensitivity table with a row for each scheme of the weights, from the figures that were estimated for each of them.

The figures are estimated before training, along one quantization error, and differ between schemes by chance as much
as by what training can keep. So a scheme never has a smaller figure than a better one at the same bits:

    PerChannelSymLSQ         a learned step for each channel: has the smallest figures
    PerLayerAsymPACT         learned bounds, but one range for all channels
    PerChannelsAsymMinMax    a range for each channel, but not a learned one
    PerLayerAsymMinMax       neither

A figure that is smaller than that of a better scheme is raised to it. Another scheme than the default is then chosen
only for its bytes (docs/decisions/0022-scheme-in-the-program.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, WEIGHT_SCHEMES, WeightScheme
from network.sensitivity.table import Row, SensitivityTable

_BETTER: Final[Mapping[WeightScheme, tuple[WeightScheme, ...]]] = {
    WeightScheme.PER_CHANNEL_SYM_LSQ: (),
    WeightScheme.PER_LAYER_ASYM_PACT: (WeightScheme.PER_CHANNEL_SYM_LSQ,),
    WeightScheme.PER_CHANNELS_ASYM_MIN_MAX: (WeightScheme.PER_CHANNEL_SYM_LSQ,),
    WeightScheme.PER_LAYER_ASYM_MIN_MAX: (
        WeightScheme.PER_CHANNEL_SYM_LSQ,
        WeightScheme.PER_LAYER_ASYM_PACT,
        WeightScheme.PER_CHANNELS_ASYM_MIN_MAX,
    ),
}
"""Scheme -> schemes that are at least as good at the same bits."""

assert set(_BETTER) == set(WeightScheme)  # noqa: S101  # a new scheme gets a row


def table_by_scheme(
    method: str, weights: Mapping[WeightScheme, Mapping[str, Row]], activations: Mapping[str, Row]
) -> SensitivityTable:
    """Return the sensitivity table of a measure; with several schemes, it has rows for each of them.

    Args:
        method: Name of the measure.
        weights: Scheme -> name of each layer with weights -> estimated sensitivities: of one scheme, or of all.
        activations: Name of each activation tensor -> its sensitivities.
    """
    if len(weights) == 1:
        (rows,) = weights.values()
        return SensitivityTable(method, rows, activations)
    by_scheme = {scheme: _raised(scheme, weights) for scheme in WEIGHT_SCHEMES}
    default = by_scheme.pop(DEFAULT_WEIGHT_SCHEME)
    return SensitivityTable(method, default, activations, by_scheme)


def _raised(scheme: WeightScheme, weights: Mapping[WeightScheme, Mapping[str, Row]]) -> dict[str, Row]:
    """Return the sensitivities by one scheme, none smaller than by a better scheme at the same bits."""
    counted = (scheme, *_BETTER[scheme])
    return {
        layer: {bits: max(weights[each][layer][bits] for each in counted) for bits in BITS} for layer in weights[scheme]
    }
