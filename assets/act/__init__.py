"""What happens because of what is true: episodes from candidates, mail from episodes, people's decisions back."""
