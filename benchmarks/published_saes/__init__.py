"""Tiny random SAEs in every published layout, each with the reference that owns the layout.

A writer puts files on disk as the publisher lays them out, and returns how the publisher's own
class (or, where none can be installed, the formula the publisher prints) encodes and
reconstructs. Nothing here uses the loaders that are compared with it.
"""

from benchmarks.published_saes.circuit_tracer_layouts import cross_layer, transcoder_set
from benchmarks.published_saes.common import D_SAE, K, Published, Wanted
from benchmarks.published_saes.dictionary_layout import DICTIONARY_CLASSES, dictionary_learning
from benchmarks.published_saes.gemma_layouts import gemma_scope, gemma_scope_2
from benchmarks.published_saes.openmoss_layouts import llama_scope, llamascopium
from benchmarks.published_saes.saelens_layout import SAELENS_ARCHITECTURES, saelens
from benchmarks.published_saes.single_files import goodfire, qwen_scope
from benchmarks.published_saes.sparsify_layout import SPARSIFY_ARCHITECTURES, sparsify

__all__ = [
    "DICTIONARY_CLASSES",
    "D_SAE",
    "SAELENS_ARCHITECTURES",
    "SPARSIFY_ARCHITECTURES",
    "K",
    "Published",
    "Wanted",
    "cross_layer",
    "dictionary_learning",
    "gemma_scope",
    "gemma_scope_2",
    "goodfire",
    "llama_scope",
    "llamascopium",
    "qwen_scope",
    "saelens",
    "sparsify",
    "transcoder_set",
]
