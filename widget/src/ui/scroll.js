const NEAR_BOTTOM_PX = 48;

/** Keeps a list at its end as long as the reader has not scrolled away from it. */
export class BottomFollower {
  #element;
  #isFollowing = true;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
    element.addEventListener("scroll", () => this.#look(), { passive: true });
  }

  /** Scrolls to the end if the reader was there. */
  follow() {
    if (this.#isFollowing) {
      this.#element.scrollTop = this.#element.scrollHeight;
    }
  }

  /** Scrolls to the end wherever the reader was. */
  jump() {
    this.#isFollowing = true;
    this.follow();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    this.#isFollowing = scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
  }
}
