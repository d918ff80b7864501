"""Generated scenes: the same each time, with text that tells more than the picture."""

import numpy as np

from kdgan.tagging.scenes import SIDE, scenes


def test_scenes_are_the_same_for_the_same_seed() -> None:
    scenes.cache_clear()
    one = scenes(50)
    scenes.cache_clear()
    same = scenes(50)
    assert (one.pictures == same.pictures).all()
    assert one.captions == same.captions
    assert one.photos.tags == same.photos.tags
    other = scenes(50, seed=1)
    assert one.captions != other.captions
    scenes.cache_clear()


def test_a_scene_has_a_picture_a_caption_and_tags() -> None:
    made = scenes()
    photos = made.photos
    assert made.pictures.shape == (3000, SIDE, SIDE, 3)
    assert made.pictures.dtype == np.uint8
    assert photos.features.shape == (3000, 192)
    assert photos.words == [caption.split() for caption in made.captions]
    assert len(set(photos.names)) == 3000
    assert all(tags and len(set(tags)) == len(tags) for tags in photos.tags)
    told = [bool({"holiday", "birthday"} & set(words)) for words in photos.words]
    tagged = [bool({"holiday", "birthday"} & set(tags)) for tags in photos.tags]
    # Why the owner was there is in the text, seldom in nothing but the tags.
    assert np.mean([tag for tell, tag in zip(told, tagged, strict=True) if tell]) > 0.5
    assert np.mean([tag for tell, tag in zip(told, tagged, strict=True) if not tell]) < 0.1
