"""Words: other names of the concepts, ImageNet's classes among them, and a dictionary of nouns."""

from __future__ import annotations

from pathlib import Path

TEMPLATES = (
    "{}",
    "{}",
    "a {}",
    "the {}",
    "a picture of a {}",
    "a photo of a {}",
    "a drawing of a {}",
    "an icon of a {}",
)
# Other words for a concept, among them what its pictures and sounds show. Comma-separated.
SYNONYMS = {
    "dog": (
        "puppy, hound, barking dog, doggy, canine, mutt, pooch, terrier, poodle, sheepdog, "
        "labrador, dalmatian, a dog barking, bark, woof"
    ),
    "cat": (
        "kitten, kitty, meowing cat, feline, tomcat, pussycat, tabby, house cat, siamese cat, "
        "a cat meowing, meow, purring"
    ),
    "cow": "cattle, bull, calf, ox, bullock, heifer, dairy cow, bovine, moo, mooing cow, livestock",
    "horse": (
        "pony, stallion, mare, foal, colt, racehorse, steed, neigh, neighing horse, galloping, "
        "hooves, gallop"
    ),
    "sheep": "lamb, ram, ewe, baa, bleating sheep, bighorn, flock of sheep, wool",
    "pig": "piglet, hog, boar, swine, sow, wild boar, oink, grunting pig",
    "duck": "duckling, mallard, drake, quack, quacking, goose, waterfowl, rubber duck",
    "chicken": (
        "hen, rooster, chick, cock, poultry, fowl, cockerel, clucking, crowing rooster, cluck, "
        "cock-a-doodle-doo"
    ),
    "owl": "hooting owl, barn owl, hoot, eagle owl, snowy owl, owlet",
    "frog": "toad, bullfrog, tree frog, croak, croaking, amphibian, tadpole",
    "bee": "wasp, honeybee, bumblebee, hornet, buzzing, buzz, swarm of bees, beehive",
    "cricket": "grasshopper, locust, katydid, chirping insect, cicada, chirp",
    "bird": (
        "songbird, sparrow, robin, finch, canary, nightingale, blackbird, tweet, birdsong, "
        "chirping bird, parrot, pigeon, warbler, songbirds"
    ),
    "crow": "raven, rook, jackdaw, magpie, cawing, caw, blackbird of prey",
    "monkey": "ape, chimpanzee, baboon, gorilla, macaque, primate, marmoset, gibbon, orangutan",
    "elephant": "mammoth, pachyderm, tusker, african elephant, trumpeting elephant, elephant calf",
    "lion": (
        "tiger, big cat, lioness, leopard, cheetah, panther, jaguar, roar, roaring lion, "
        "lion cub, cougar"
    ),
    "wolf": "howling wolf, coyote, jackal, timber wolf, howl, werewolf, wolves, husky",
    "deer": "stag, reindeer, doe, elk, moose, fawn, antelope, buck, caribou, roe",
    "donkey": "mule, ass, burro, jackass, bray, braying",
    "snake": "serpent, rattlesnake, viper, cobra, python, boa, adder, hiss, hissing",
    "seagull": "gull, gulls, sea bird, seabird, albatross, herring gull, tern",
    "whale": "dolphin, orca, humpback, killer whale, porpoise, sperm whale, blue whale, cetacean",
    "piano": "grand piano, upright piano, pianoforte, pianist, piano keys, harpsichord, organ",
    "guitar": "electric guitar, acoustic guitar, bass guitar, ukulele, guitarist, strumming, lute",
    "violin": "cello, fiddle, viola, double bass, violinist, string instrument, bow and strings",
    "trumpet": "cornet, bugle, brass, horn section, flugelhorn, fanfare",
    "saxophone": "sax, saxophonist, alto saxophone, tenor sax, clarinet",
    "drum": (
        "drums, snare drum, drummer, drum kit, bass drum, bongo, tom-tom, tambourine, "
        "percussion, timpani, drumming"
    ),
    "accordion": "concertina, squeezebox, bandoneon, melodeon",
    "banjo": "mandolin, bluegrass, banjo player",
    "flute": "piccolo, recorder, pan pipes, flutist, whistle, fife",
    "harp": "harpist, lyre, zither, plucked strings",
    "tuba": "trombone, horn, euphonium, sousaphone, french horn, baritone horn, brass instrument",
    "maracas": "rattle, shaker, rumba shaker, castanets",
    "bell": (
        "church bell, bells, gong, chime, doorbell, handbell, ringing, tolling, jingle bells, "
        "carillon"
    ),
    "car": (
        "automobile, sedan, racing car, vehicle, sports car, taxi, convertible, jeep, engine, "
        "motorcar, cab"
    ),
    "train": (
        "locomotive, railway, steam train, tram, subway, engine on rails, freight train, "
        "steam engine, railroad, metro, carriage"
    ),
    "airplane": (
        "plane, aeroplane, jet, airliner, aircraft, jet plane, propeller plane, biplane, "
        "jumbo jet, fighter jet"
    ),
    "helicopter": "chopper, rotorcraft, copter, rotor",
    "ship": (
        "boat, vessel, sailboat, steamer, yacht, ferry, cruise ship, ocean liner, foghorn, "
        "canoe, sailing ship"
    ),
    "bus": "truck, lorry, coach, minibus, double decker, van, school bus, trolleybus, pickup",
    "fire engine": (
        "ambulance, police car, siren, fire truck, firetruck, emergency vehicle, fire brigade, "
        "police siren, firefighters"
    ),
    "rocket": (
        "spaceship, missile, spacecraft, space shuttle, firework, launch, rocket ship, starship"
    ),
    "rain": (
        "rainfall, rain cloud, raindrops, shower, drizzle, downpour, rainstorm, raining, "
        "umbrella in the rain"
    ),
    "thunder": "lightning, storm, thunderstorm, thunderbolt, lightning bolt, thunderclap, bolt",
    "wind": "windmill, breeze, gust, gale, blowing wind, hurricane, tornado, windy, air",
    "waves": (
        "sea, ocean, the sea, surf, tide, seashore, beach waves, breakers, tsunami, wave, shore"
    ),
    "water drop": (
        "droplet, dripping water, drop of water, drip, tear drop, water, bubble, dew, splash"
    ),
    "fire": (
        "flame, campfire, blaze, bonfire, burning, inferno, crackling fire, flames, fireplace, "
        "torch"
    ),
    "telephone": (
        "phone, mobile phone, smartphone, cellphone, handset, ringing phone, receiver, "
        "dial phone, cell phone, rotary phone, ringtone"
    ),
    "clock": (
        "alarm clock, watch, wristwatch, stopwatch, timer, ticking, pendulum clock, "
        "cuckoo clock, tick tock, hourglass, wall clock"
    ),
    "camera": (
        "photo camera, camcorder, shutter, snapshot, photography, digital camera, "
        "video camera, reflex camera"
    ),
    "keyboard": (
        "computer keyboard, typing, keys, typewriter, keypad, typing on a keyboard, "
        "computer keys, laptop keyboard"
    ),
    "door": "gate, doorway, entrance, knocking, creaking door, slamming door, knock, portal",
    "hammer": "mallet, sledgehammer, hammering, gavel, hammer and nail, tool",
    "saw": "chainsaw, hand saw, sawing, handsaw, circular saw, buzz saw, power saw, hacksaw",
    "axe": "hatchet, chopping wood, tomahawk, chop, battle axe, ax",
    "glass": (
        "wine glass, glasses clinking, goblet, tumbler, breaking glass, drinking glass, "
        "shattering glass, beer glass, cup, glassware, champagne glass"
    ),
    "bomb": "explosion, grenade, dynamite, blast, detonation, explosive, boom, mine",
    "clapping hands": (
        "applause, clapping, clap, applauding, audience, ovation, hands, handclap, cheering crowd"
    ),
    "coin": "coins, money, cash, penny, change, treasure, gold coin, cent, medal, dollar",
    "robot": "android, droid, cyborg, machine man, automaton, mechanical man",
    "sword": "swords, blade, saber, dagger, rapier, katana, fencing, clashing swords, knife, sabre",
    "footprints": (
        "footsteps, shoes, steps, footprint, footstep, walking, boots, tracks, running, tread, "
        "paw prints, sneakers"
    ),
    "heart": "heartbeat, beating heart, love, pulse, cardiac, valentine, red heart",
}
# Which of ImageNet-1k's classes show a concept: (first, one past the last).
CLASSES = {
    "dog": [(151, 269)],
    "cat": [(281, 286)],
    "cow": [(345, 348)],
    "horse": [(339, 340)],
    "sheep": [(348, 350)],
    "pig": [(341, 344)],
    "duck": [(97, 100)],
    "chicken": [(7, 9)],
    "owl": [(24, 25)],
    "frog": [(30, 33)],
    "bee": [(309, 310)],
    "cricket": [(311, 313)],
    "bird": [(10, 21), (92, 93), (94, 95)],
    "monkey": [(365, 383)],
    "elephant": [(101, 102), (385, 387)],
    "lion": [(286, 294)],
    "wolf": [(269, 273)],
    "deer": [(351, 354)],
    "snake": [(52, 69)],
    "seagull": [(146, 147)],
    "whale": [(147, 149)],
    "piano": [(579, 580), (881, 882)],
    "guitar": [(402, 403), (546, 547)],
    "violin": [(486, 487), (889, 890)],
    "trumpet": [(513, 514)],
    "saxophone": [(776, 777)],
    "drum": [(541, 542)],
    "accordion": [(401, 402)],
    "banjo": [(420, 421)],
    "flute": [(558, 559)],
    "harp": [(594, 595)],
    "tuba": [(566, 567), (875, 876)],
    "maracas": [(641, 642)],
    "bell": [(494, 495), (577, 578)],
    "car": [
        (436, 437),
        (468, 469),
        (511, 512),
        (609, 610),
        (627, 628),
        (656, 657),
        (661, 662),
        (751, 752),
        (817, 818),
    ],
    "train": [(466, 467), (547, 548), (565, 566), (705, 706), (820, 821)],
    "airplane": [(404, 405), (895, 896)],
    "ship": [
        (484, 485),
        (510, 511),
        (554, 555),
        (628, 629),
        (724, 725),
        (780, 781),
        (814, 815),
        (871, 872),
        (914, 915),
    ],
    "bus": [(569, 570), (654, 655), (717, 718), (779, 780), (867, 868), (874, 875)],
    "fire engine": [(407, 408), (555, 556), (734, 735)],
    "rocket": [(657, 658), (744, 745), (812, 813)],
    "waves": [(978, 979)],
    "telephone": [(487, 488), (528, 529), (707, 708)],
    "clock": [(409, 410), (530, 532), (826, 827), (892, 893)],
    "camera": [(732, 733), (759, 760)],
    "keyboard": [(508, 509), (878, 879)],
    "door": [(799, 800)],
    "hammer": [(587, 588)],
    "saw": [(491, 492)],
    "axe": [(596, 597)],
    "glass": [(441, 442), (572, 573)],
    "footprints": [(630, 631), (770, 771)],
}


def synonyms(concept: str) -> list[str]:
    """The other words of a concept."""
    return SYNONYMS[concept].split(", ")


def classes(concept: str) -> list[int]:
    """The ImageNet-1k classes that show a concept; none for some."""
    return [i for first, end in CLASSES.get(concept, []) for i in range(first, end)]


def dictionary() -> tuple[list[tuple[str, str]], list[list[str]], list[str]]:
    """ImageNet's nouns, from timm's copy of its tables.

    Returns:
        (lemma, definition) of 21,841 synsets, a pair for each lemma; and of the 1,000 classes, in
        their order, the lemmas and the definition of each.
    """
    import timm

    folder = Path(timm.__file__).parent / "data" / "_info"

    def table(name: str) -> dict[str, str]:
        lines = (folder / f"imagenet_{name}.txt").read_text().splitlines()
        return dict(line.split("\t") for line in lines if "\t" in line)

    lemmas = {k: v.split(", ") for k, v in table("synset_to_lemma").items()}
    meaning = table("synset_to_definition")
    pairs = [(name, meaning[k]) for k, names in lemmas.items() for name in names if k in meaning]
    order = (folder / "imagenet_synsets.txt").read_text().split()
    return pairs, [lemmas[k] for k in order], [meaning[k] for k in order]
