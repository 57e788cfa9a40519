"""What lies on disk once something ran: the folders of runs and studies, and archives of masks. No torch."""
