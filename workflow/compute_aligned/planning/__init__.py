"""What a run costs, beforehand and afterwards."""
