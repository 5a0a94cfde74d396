import { startPage } from '../kit/Start.tsx';
import { MyApp } from './MyApp.tsx';
import './me.css';

startPage('me', (who) => <MyApp who={who} />);
