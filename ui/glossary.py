"""The words on the pages, each in a sentence: one click away everywhere, and on hover."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TERMS: Mapping[str, str] = MappingProxyType(
    {
        "SAE": "Sparse autoencoder: splits a model's activations at one place into many features, "
        "of which only a few fire on any token.",
        "Feature": "One output of the SAE, named by its index; also called a latent. Understanding "
        "what makes it fire is what this app is for.",
        "Hook point": "The place in the model where the SAE reads, say the output of layer 9.",
        "Activation": "How strongly a feature fires on a token; 0 means it does not.",
        "Firing": "A token on which a feature's activation is above 0.",
        "Peak": "The token of an example on which the feature fires strongest; it has a frame.",
        "Example": "A window of text around a peak, with the activation of every token in it.",
        "Top": "The strongest examples of a feature, one from each sequence of text.",
        "Quantile": "The peaks of a feature sorted by strength and cut into four quarters, with "
        "examples drawn from each: the weakest quarter shows what it also fires on.",
        "Silent": "A window of text in which the feature does not fire at all.",
        "Density": "The share of counted tokens on which a feature fires. Between 0.01 % and 10 % "
        "features can usually be interpreted.",
        "Counted token": "A token that enters statistics and examples: no special token, no sink.",
        "Sink": "A position, usually the first, whose activations are so large that every "
        "statistic would be about it; left out.",
        "Dead": "A feature that never fires on the counted tokens of this study.",
        "Study": "What one SAE does on one dataset: examples, statistics, scores. Decisions of "
        "people belong to the SAE and are the same in all of its studies.",
        "Label": "A short text that says what a feature means.",
        "Proposal": "A label that a model or the search made, or that was imported. It counts as "
        "yours once you accept it.",
        "LLM label": "Written by a language model that was shown examples.",
        "Search label": "Made by counting: words and patterns that set the feature's examples "
        "apart from the rest of the text. No language model is asked.",
        "Semantic regex": "The search label, written so that it says what kind of thing each part "
        "is: symbol, text as it is written; lexeme, a word in any of its forms; field, words of a "
        "meaning; context, what the text around is about. A|B is either.",
        "Score": "How well a label tells the windows on which the feature fires from silent "
        "ones, on documents that the label's maker never saw.",
        "Ranking scorer": "Every scorer has a number of its own, and they are never averaged. One "
        "of them ranks: detection where a label has it, else fuzzing, else embedding, until you "
        "choose another (a click on its column). The address keeps your choice.",
        "Embedding": "A scorer: how alike label and window are in meaning, by a small embedding "
        "model on this machine. Of labels that name marks, places or neighbours of a word it says "
        "that it cannot judge them.",
        "Detection": "A scorer: a language model is shown a label and a window, and says whether "
        "the label fits.",
        "Fuzzing": "A scorer: a language model is shown a label and a window with marked tokens, "
        "and says whether the right ones are marked.",
        "Intruder": "A measure that needs no label: a model is shown four windows that the feature "
        "fires on and one that it does not, and names the odd one. A guess is right in one of "
        "five.",
        "Generation": "A measure: a model writes text for the label and text without it, and the "
        "SAE reads both. Responsiveness: does the first make the feature fire more; clarity: "
        "more than any text does; purity: is what makes it fire most written for the label.",
        "Output": "A measure: does the label name the tokens that the feature makes likelier.",
        "Ablation": "A measure: does the label name the tokens that become less likely when the "
        "feature is taken out of the model.",
        "Control": "An SAE whose directions mean nothing, extracted, labelled and scored like the "
        "real one: what a score is worth is how far above this it is.",
        "Floor": "The score of somebody who guesses, mostly 0.5. A label whose interval reaches "
        "down to it is not above chance.",
        "Shuffled": "What labels of other features get on the same windows: the score that a "
        "label which has nothing to do with the feature reaches.",
        "Interval": "The range in which the true score lies with 95 % certainty; few windows "
        "make it wide.",
        "Easy / hard": "Silent windows from anywhere, and from the very documents in which the "
        "feature fires.",
        "Neighbours' windows": "Silent windows in which features much like this one fire: in "
        "decoder direction, or on the same tokens. A label that is too wide fits them as well.",
        "Near windows": "Of a thousand random windows of text, the silent ones most like the "
        "label: the worst mistakes it would make.",
        "AUPRC": "Average precision where the feature fires as seldom as it really does: of the "
        "windows that fit a label best, the share that is right. Its floor is the share of windows "
        "in which the feature fires.",
        "F1": "Harmonic mean of precision and recall at the feature's real density, with the "
        "border drawn on other documents. Its floor is what always saying yes gets.",
        "Correlation": "Of what a scorer says with how strongly the feature fires, silent windows "
        "counting as 0. Its floor is 0.",
        "Fit": "What labels of one feature are compared by: how well likeness goes with firing, "
        "each word that the feature peaks on counting once. 0.5 says nothing, 1 is perfect.",
        "Judged": "The windows a score was measured on, each with what the scorer said.",
        "Validate / test": "Documents are split in three before anybody looks: labels are made on "
        "the first part, chosen on validate documents and scored for you on test documents.",
        "Input score": "A number that came with the feature from elsewhere, in the features file.",
        "Logits": "The tokens that the feature makes the model more, or less, likely to say next.",
        "Families": "Features much alike by decoder direction, by the tokens they fire on and by "
        "the words they peak on; families that are somewhat alike make a group.",
        "Similar": "Features whose decoder directions point the same way.",
        "Map": "All features as points, those with alike decoder directions near each other (by "
        "UMAP). What is near means something; how far apart two groups lie means little.",
        "Cluster": "Features that lie together on the map, named after words that their labels "
        "share.",
        "Selection": "Features put together by drawing around them on the map; a filter of the "
        "table and of the review queue.",
        "Fires with": "Features that fire on the same tokens.",
        "L0": "How many features fire on a token, on average.",
        "FVU": "Fraction of variance unexplained: how much of the activation the SAE fails to "
        "rebuild. 0 is perfect; at a wrong layer or model it rises.",
        "Context size": "How many tokens of a document the model reads at once.",
    }
)


def about(term: str) -> str:
    """The sentence on a term, for the hover help of whatever shows it."""
    return TERMS[term]
