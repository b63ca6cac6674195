"""Find in an image what a sound, a text or another image means."""

import bindplug

MEDIA = "examples/media/"

embedder = bindplug.load_embedder("small")
detector = bindplug.load_detector("detic", weights="small")

cat = embedder.embed(audio=MEDIA + "cat.wav")
words = bindplug.default_vocabulary("audio")
bridge = bindplug.fit_bridge("vocabulary", embedder, detector.space, words)
print("heard as", bridge.explain(cat)[0])

prompts = {
    "sound": cat,
    "text": embedder.embed(text=["a dog", "a cat", "a duck"]),
}
for name, prompt in prompts.items():
    found = detector.detect(MEDIA + "garden.png", prompt)
    for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
        print(f"{name}: {label} {score:.2f} at {box.round().astype(int).tolist()}")
