"""AttributeClassifier, ImageEmbedder and their parameter objects."""
