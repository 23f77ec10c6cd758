"""Hedgewars: ten voice packs that say the same phrases, and the effects of the game (hedgewars-data, GPL-2).

Data/Sounds/voices/<pack>/<Phrase>.ogg, Data/Sounds/<effect>.ogg. Probe voice_pack: the phrases of the test are never
heard in training. What is said is taken from the file name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packages import folder
from phrases import Captions, ask, kind, number, pick, stem, words, yes_no

from audiotext.data.corpus import Clip

EXPECTED = {"train": 530, "test": 147}
# pack -> (label, who speaks, an adjective or so for the way of speaking)
PACKS = {
    "British": ("british", "a British gentleman", "with a British accent"),
    "Classic": ("classic", "the classic hedgehog", "in a high cartoon voice"),
    "Default": ("default", "the default hedgehog", "in a cartoon hedgehog voice"),
    "HillBilly": ("hillbilly", "a hillbilly", "with a country accent"),
    "Mobster": ("mobster", "a mobster", "like a gangster"),
    "Pirate": ("pirate", "a pirate", "like a buccaneer"),
    "Robot": ("robot", "a robot", "in a mechanical, synthetic voice"),
    "Russian": ("russian", "a Russian", "with a Russian accent"),
    "Singer": ("singer", "a singer", "in a sung voice"),
    "Surfer": ("surfer", "a surfer", "like a surfer dude"),
}
LABELS = [label for label, _, _ in PACKS.values()]
# phrases whose file names run the words together
SAID = {
    "Byebye": "bye bye", "Comeonthen": "come on then", "Cutitout": "cut it out", "Enemydown": "enemy down",
    "Firepunch": "fire punch", "Firstblood": "first blood", "Flyaway": "fly away", "Gonnagetyou": "gonna get you",
    "Illgetyou": "I'll get you", "Justyouwait": "just you wait", "Leavemealone": "leave me alone", "Nooo": "no",
    "Ohdear": "oh dear", "Ooff": "oof", "Runaway": "run away", "Sameteam": "same team", "Solong": "so long",
    "Takecover": "take cover", "Thisoneismine": "this one is mine", "Uh-oh": "uh oh", "Watchit": "watch it",
    "Watchthis": "watch this", "Whatthe": "what the", "Yessir": "yes sir", "Youllregretthat": "you'll regret that",
}  # fmt: skip
# phrases that are noises rather than words: what is done
NOISES = {
    "Laugh": "laughs", "PoisonCough": "coughs", "PoisonMoan": "moans", "Ow": "cries out in pain",
    "Ooff": "groans from a blow", "Ouch": "cries out in pain", "Hmm": "hums in thought", "Jump": "grunts while jumping",
}  # fmt: skip
HELD_OUT = 12  # in hundred: the phrases kept for the probe's test
EFFECTS = {
    "landgun": "a land spraying gun", "sinegun": "a sine wave gun", "whipcrack": "a whip crack",
    "egg": "an egg breaking", "bee": "a bee buzzing", "beewater": "a bee missile in water",
    "airmine_impact": "an air mine hitting something", "portalshot": "a portal gun shot",
    "ropeshot": "a rope being shot", "steps": "footsteps", "warp": "a warp teleport",
    "sniperreload": "a sniper rifle being reloaded", "shotgunreload": "a shotgun being reloaded",
    "shotgunfire": "a shotgun being fired", "minigun": "a minigun burst", "jetpackboost": "a jet pack boost",
    "baseballbat": "a baseball bat hit", "rubberduck_die": "a dying rubber duck",
    "rubberduck_drop": "a rubber duck dropping", "rubberduck_water": "a rubber duck in water",
    "lasersight": "a laser sight beep", "flamethrower": "a flame thrower", "grenadeimpact": "a grenade bouncing",
    "minetick": "a ticking mine", "hog_freeze": "something freezing", "ice_beam": "an ice beam",
    "ice_beam_idle": "an idle ice beam", "TARDIS": "a time machine", "CollectCrate": "a crate being collected",
    "planewater": "a plane falling in water", "rcplane": "a radio controlled plane",
    "mineimpact": "a mine hitting the ground", "graveimpact": "a gravestone hitting the ground",
    "melonimpact": "a melon hitting the ground", "shutterclick": "a camera shutter",
    "frozen_hog_impact": "a frozen hedgehog hitting the ground", "hell_growl": "a devilish growl",
    "hell_ow": "a devilish cry of pain", "hell_ooff": "a devilish groan", "hell_ugh": "a devilish grunt",
    "hogchant3": "a chant of hedgehogs", "Yoohoo": "someone calling yoo-hoo", "Kiss": "a kiss", "gun": "a gun shot",
    "BirdyLay": "a bird laying an egg", "knife_impact": "a knife hitting something", "drillgun": "a drill",
    "firepunch_hit": "a punch", "roperelease": "a rope being released", "ropeattach": "a rope being attached",
    "throwrelease": "something being thrown", "throwpowerup": "a throw being charged", "plane": "a plane flying by",
    "pickhammer": "a pneumatic pick hammer", "ufo": "a flying saucer", "Whistle": "a whistle",
    "steam": "hissing steam", "splash": "a splash in water", "parachute": "a parachute opening",
    "explosion": "an explosion", "blowtorch": "a blow torch", "molotov": "a molotov cocktail",
    "mortar": "a mortar shot", "hammer": "a hammer blow", "ride_of_the_valkyries": "the Ride of the Valkyries",
    "bump": "a bump",
}  # fmt: skip


def clips(download: Path) -> Iterator[Clip]:
    sounds = folder(download, "hedgewars-data", "usr/share/games/hedgewars/Data/Sounds")
    for pack in PACKS:
        for path in sorted((sounds / "voices" / pack).glob("*.ogg")):
            yield _voice(pack, path)
    for path in sorted(sounds.glob("*.ogg")):
        if not path.stem[0].isdigit() and not path.stem.startswith(("custom", "cake")):
            yield _effect(path)


def _voice(pack: str, path: Path) -> Clip:
    label, who, manner = PACKS[pack]
    base = path.stem.rstrip("0123456789")
    said = SAID.get(path.stem, SAID.get(base, words(base)))
    noise = NOISES.get(base)
    done = noise or pick(("says", "shouts", "calls out"), pack, base) + f" '{said}'"
    captions = Captions()
    captions.add("template", f"{who} {done}", f"the {label} voice {done}")
    captions.add("filename", f"{label} voice, {said}", said)
    captions.add("template", f"a {label} voice in a video game {done} {manner}" if label[0] not in "aeiou" else "")
    captions.add("description", f"speech of {who}, {manner}", f"the {label} voice pack of a game about hedgehogs")
    captions.add("template", f"{who} speaking: {said}" if not noise else f"{who} {noise}, no words are spoken")
    captions.add("description", f"{who} {pick(MOODS, pack, base)} in a hedgehog war game")
    return captions.clip(
        id=f"hedgewars-{pack}-{path.stem}", audio=path, domain="speech", source="hedgewars", licence="GPL-2.0",
        split="test" if held_out(base) else "train", labels={"voice_pack": label, "said": said},
        family=f"hedgewars-voice-{base.lower()}",
        questions=[ask("Who speaks?", label), kind("speech"),
                   yes_no("Is it a {} voice?", label, LABELS, pack, path.stem)],
    )  # fmt: skip


MOODS = ("talks to the enemy", "comments on the fight", "speaks a short line", "speaks during a battle")


def held_out(base: str) -> bool:
    """True for phrases of the probe's test."""
    return number("hedgewars phrase", base.lower()) % 100 < HELD_OUT


def _effect(path: Path) -> Clip:
    name = words(path.stem)
    event = EFFECTS.get(path.stem, EFFECTS.get(path.stem.rstrip("0123456789")))
    captions = Captions()
    if event:
        captions.add("template", f"the sound of {event}", f"sound effect of {event} in a video game", event)
    captions.add("filename", name, f"{stem(path.stem)}, game sound effect")
    captions.add("description", f"a sound effect of a game about fighting hedgehogs: {stem(path.stem)}")
    return captions.clip(
        id=f"hedgewars-effect-{path.stem}", audio=path, domain="sound", source="hedgewars", licence="GPL-2.0",
        family=f"hedgewars-effect-{stem(path.stem)}", questions=[kind("sound")],
    )  # fmt: skip
