"""What runs leave behind, and how it is read back as one table."""
