"""The comparison of seven methods and five seeds on digits in one process of one worker, and in two on one folder.

The two are started together, as on two machines that share a disk; each takes the runs that the other is not at.
"""

from workers import measure

if __name__ == "__main__":
    measure("commands", 0.65, __doc__)
