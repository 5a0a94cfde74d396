// The renderer imports Swiper for carousels. The server refuses cards that have one (src/assistant/cards/raw/parse.ts), so
// pages need no Swiper, and a first start need not install its 319 files.
export default class Swiper {
  constructor() {
    throw new Error('Cards have no carousels here.');
  }
}

const none = undefined;

export {
  none as A11y,
  none as Autoplay,
  none as History,
  none as Keyboard,
  none as Navigation,
  none as Pagination,
  none as Scrollbar,
};
