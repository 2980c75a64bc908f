"""What an application defines, and what its handlers get."""
