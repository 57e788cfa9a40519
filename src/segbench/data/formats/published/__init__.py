"""Published sets whose layout is recognised and whose masks hold known numbers or colours."""
