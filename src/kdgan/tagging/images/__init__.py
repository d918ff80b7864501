"""Photos as pixels, and pixels as features."""
