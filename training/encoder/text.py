"""The text tower of surface-clip: trained first, towards fixed places in the embedding space, then locked."""

from collections.abc import Callable

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.encoder import TEMPLATES, PromptLibrary, defect_sentence, sentences
from pipelines.surfaces import CATEGORIES

SENTENCES = 96  # a step
STATE, OBJECT, DEFECT = 0.75, 0.6, 0.3  # weights in a sentence's place
# Objects without generated surfaces: only their state (normal or not) has a place.
OTHER_OBJECTS = (
    "surface",
    "part",
    "metal part",
    "fabric",
    "leather",
    "wood",
    "tile",
    "circuit board",
    "plate",
    "gear",
)


class SentencePlaces:
    """All prompts of the library, and where their embeddings belong.

    All objects share the anomaly axis, so that learning one surface serves the others.

    Args:
        library: prompts, those of the generated categories included.
        tokenizer: function from a list of sentences to (n, context) int64.
        width: dimensions of the embedding space.
        seed: seed of the random places.
    """

    def __init__(
        self, library: PromptLibrary, tokenizer: Callable[[list[str]], Tensor], width: int, seed: int
    ) -> None:
        rng = torch.Generator().manual_seed(seed)
        types = sorted({defect.type for prompts in library.categories.values() for defect in prompts.defects})
        names = sorted(library.categories)
        places = F.normalize(torch.randn(1 + len(names) + len(types), width, generator=rng), dim=-1)
        if len(places) <= width:
            places = torch.linalg.qr(places.T).Q.T
        self.axis, objects, defects = places[0], places[1 : 1 + len(names)], places[1 + len(names) :]
        texts: list[str] = []
        rows: list[Tensor] = []
        known: list[bool] = []

        def add(group: list[str], place: Tensor, is_known: bool) -> None:
            texts.extend(group)
            rows.extend([place] * len(group))
            known.extend([is_known] * len(group))

        for number, name in enumerate(names):
            prompts = library.categories[name]
            normal, anomalous = sentences(prompts, defect_features=False)
            add(normal, OBJECT * objects[number] - STATE * self.axis, True)
            add(anomalous, OBJECT * objects[number] + STATE * self.axis, True)
            for defect in prompts.defects:
                state = defect_sentence(prompts.object, defect)
                place = (
                    OBJECT * objects[number] + STATE * self.axis + DEFECT * defects[types.index(defect.type)]
                )
                add([template.replace("{}", state) for template in TEMPLATES], place, True)
        for thing in OTHER_OBJECTS:
            prompts = library.categories[names[0]].model_copy(update={"object": thing, "defects": ()})
            normal, anomalous = sentences(prompts, defect_features=False)
            add(normal, -STATE * self.axis, False)
            add(anomalous, STATE * self.axis, False)
        self.tokens = tokenizer(texts)
        self.places = F.normalize(torch.stack(rows), dim=-1)
        self.states = torch.tensor([float(row @ self.axis) for row in rows])
        self.known = torch.tensor(known)

    def loss(self, model: open_clip.CLIP, rng: torch.Generator) -> Tensor:
        """Cosine distance of random sentences from their places; for other objects only the state's part."""
        rows = torch.randint(len(self.tokens), (SENTENCES,), generator=rng)
        embedded = model.encode_text(self.tokens[rows], normalize=True)
        away = 1 - (embedded * self.places[rows]).sum(-1)
        wrong = (embedded @ self.axis - self.states[rows]) ** 2
        return torch.where(self.known[rows], away, wrong).mean()


class Captions:
    """Embeddings by the locked text tower, computed once.

    Attributes:
        t_n, t_a: (categories, D), KeAD's normal and anomalous embeddings, defect features on.
        captions: (classes, D), one per category's normal state and per defect of it.
        classes: (classes, 2) int64: category, and defect or −1.
    """

    def __init__(
        self, model: open_clip.CLIP, library: PromptLibrary, tokenizer: Callable[[list[str]], Tensor]
    ) -> None:
        def mean(texts: list[str]) -> Tensor:
            with torch.no_grad():
                parts = [model.encode_text(part, normalize=True) for part in tokenizer(texts).split(128)]  # type: ignore[no-untyped-call]
            return F.normalize(torch.cat(parts).mean(0), dim=-1)

        t_n, t_a, captions, classes = [], [], [], []
        for number, (name, recipe) in enumerate(CATEGORIES.items()):
            prompts = library.category(name)
            normal, anomalous = sentences(prompts, defect_features=True)
            t_n.append(mean(normal))
            t_a.append(mean(anomalous))
            captions.append(t_n[-1])
            classes.append((number, -1))
            by_type = {defect.type.replace(" ", "_"): defect for defect in prompts.defects}
            for place, kind in enumerate(recipe.defects):
                state = defect_sentence(prompts.object, by_type[kind])
                captions.append(mean([template.replace("{}", state) for template in TEMPLATES]))
                classes.append((number, place))
        self.t_n, self.t_a, self.captions = torch.stack(t_n), torch.stack(t_a), torch.stack(captions)
        self.classes = torch.tensor(classes)
