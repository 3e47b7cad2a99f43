"""A course from the notebooks: an edition for students, one with the answers, and what a class has answered."""
