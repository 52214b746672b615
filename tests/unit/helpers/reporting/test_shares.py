"""The chart of the images at each client."""

from helpers.reporting.pictures import drawing
from helpers.reporting.shares import MOST_BARS, draw_shares


def chart_of(num_clients: int) -> str:
    partition = {str(client): {"0": client + 1, "1": 2} for client in range(num_clients)}
    with drawing():
        return str(draw_shares(partition, ("benign", "malignant")).svg)


def test_a_thousand_clients_are_areas_and_a_few_are_bars() -> None:
    few, most, many = (chart_of(number).count("<path") for number in (5, MOST_BARS, 1000))
    assert most - few >= 2 * (MOST_BARS - 5)  # a bar for each class of each client
    assert many < most
    assert "Images of each class at each of 1000 clients, 3 to 1002 images a client" in chart_of(1000)
