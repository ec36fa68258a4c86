"""A stand-in for the package reasoning-gym, with its interface and a few small tasks."""

import textwrap


def write_package(folder):
    """Write the package into a folder, which then has to stand on the path."""
    package = folder / "reasoning_gym"
    package.mkdir(parents=True)
    tasks = ["doubling", "repeating", "silent", "restless", "leg_counting"]
    (package / "factory.py").write_text(f"DATASETS = dict.fromkeys({tasks})\n")
    (package / "__init__.py").write_text(
        textwrap.dedent(
            '''
            import os
            import random
            import time


            class Dataset:
                """Doubling numbers; an answer is scored after it is read as Python, partly where it is even."""

                def __init__(self, name, seed, size, largest):
                    self.name, self.seed, self.size, self.largest = name, seed, size, largest

                def __getitem__(self, index):
                    number = random.Random(self.seed + index).randint(1, self.largest)
                    answer = str(2 * number)
                    if self.name == "restless":
                        answer += f" of {os.getpid()}"
                    return {
                        "question": f"Double {number}\\nplease",
                        "answer": None if self.name == "silent" else answer,
                        "metadata": {"number": number},
                    }

                def score_answer(self, answer, entry):
                    print("some scorers print")
                    if answer == entry["answer"]:
                        return 1.0
                    if answer == "sleep":
                        time.sleep(60)
                    if answer == "die":
                        os._exit(1)
                    value = eval(answer)
                    return 1.0 if value == 2 * entry["metadata"]["number"] else 0.5 * (value % 2 == 0)


            def create_dataset(name, seed, size, largest=10**6, max_animals=None):
                assert (max_animals is not None) == (name == "leg_counting"), "max_animals is for counting legs"
                assert largest > 0, "largest must be\\n positive"
                return Dataset(name, seed, size, 3 if name == "repeating" else largest)
            '''
        )
    )
