"""What runs inside the decoder children of `emobraid.media`, and nowhere else."""
