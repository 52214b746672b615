"""From images on disk to the arrays that training reads."""
